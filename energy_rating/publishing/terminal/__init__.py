"""Text for a terminal: one room for records, one for ratings, one for what ships."""
