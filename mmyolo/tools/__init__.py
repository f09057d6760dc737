"""What only tools and demos need: the rest of the library never imports it."""
