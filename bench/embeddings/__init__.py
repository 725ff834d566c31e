"""How fast the encoder answers through its engine and through the gateway, beside its library called directly."""
