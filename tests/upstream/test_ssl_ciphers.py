def test_ssl_ciphers(still_shows):
    """Otherwise a setting for TLS would be worth nothing as long as kafka-python does not hand it on."""
    still_shows("ssl_ciphers")
