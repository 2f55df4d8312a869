"""From records and ratings to what people read: one door for each form. Works nothing out that could be judged."""
