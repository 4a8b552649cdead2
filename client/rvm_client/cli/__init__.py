"""The commands `rvm-matte` and `rvm-serve`."""
