"""The recipes that ship: one YAML per published result or demo."""
