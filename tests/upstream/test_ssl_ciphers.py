def test_ssl_ciphers(still_shows):
    """While kafka-python does not pass the ciphers on, a policy about them is not kept."""
    still_shows("ssl_ciphers")
