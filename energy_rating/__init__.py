"""What an AI model costs the planet: measured, rated, and open to anyone's check."""

__version__ = "0.1.0"
