"""The tests: as a package, so that folders of it do not stand in for modules of Python."""
