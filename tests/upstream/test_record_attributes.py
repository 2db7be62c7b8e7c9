def test_record_attributes(still_shows):
    """While the libraries read the attributes byte as a varint, records are misread."""
    still_shows("record_attributes")
