"""The version alone, so that whoever writes it into a file need not climb to the public names."""

__version__ = "0.2.0"
