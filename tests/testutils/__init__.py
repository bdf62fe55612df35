"""katcp.testutils; the files ``test_suite_*.py`` are suites as users of katcp-python wrote them."""
