def test_header_names(still_shows):
    """One odd header stops a partition as long as the libraries refuse a name that is no UTF-8."""
    still_shows("header_names")
