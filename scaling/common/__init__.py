"""Helpers of every room: alphabet, errors, extras, plug-ins, command lines, tables of text."""
