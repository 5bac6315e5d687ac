"""The verbs of `afdcd bench`, one file each; `bench/__main__.py` lists them."""
