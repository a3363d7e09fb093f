"""Labels from what others bring: photos and lists, CAMs, boundary maps, seeds, regions."""
