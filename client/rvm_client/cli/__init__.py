"""The commands `rvm-matte`, `rvm-batch` and `rvm-serve`."""
