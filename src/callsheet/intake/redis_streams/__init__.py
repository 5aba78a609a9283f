"""Redis Streams: the data plane of a graph whose other nodes another program runs."""
