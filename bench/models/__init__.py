"""How fast the list of models is while machines hang."""
