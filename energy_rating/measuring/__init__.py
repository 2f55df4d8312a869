"""The half that touches the machine: it reads devices and clocks, and writes a journal. What that is worth is judged elsewhere."""
