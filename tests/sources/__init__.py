"""Tests of reading: real files, hostile files and every layout."""
