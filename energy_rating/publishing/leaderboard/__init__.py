"""A collection as a static site: rankings by task and protocol, a page for each model, what others published apart. Reads storage, never folders."""
