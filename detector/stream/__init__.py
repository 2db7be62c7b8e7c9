"""Where records come from and go to, and the guarantee between the two."""
