"""What streams of others feel of clients that send no requests, half requests or nothing but requests."""
