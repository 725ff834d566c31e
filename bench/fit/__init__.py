"""How many bytes models need: predicted by potluck and by its peers, then measured on the engines that run here."""
