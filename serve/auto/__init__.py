"""`afdcd serve start --auto`: a few seconds of measuring in place of a guess."""
