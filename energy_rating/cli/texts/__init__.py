"""What only one command says, as text for a terminal. What several forms say is in ``publishing``."""
