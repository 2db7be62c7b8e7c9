def test_record_attributes(still_shows):
    """Records are misread as long as the libraries take a byte of attributes for a number of any length."""
    still_shows("record_attributes")
