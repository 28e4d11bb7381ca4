"""What every room may need: errors, optional packages, plug-ins, command lines, tables of text."""
