"""What the gateway costs a request and a token, beside a proxy without logic and a router written in Rust."""
