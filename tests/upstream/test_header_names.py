def test_header_names(still_shows):
    """While the libraries reject a header name that is not UTF-8, one such header stops a partition."""
    still_shows("header_names")
