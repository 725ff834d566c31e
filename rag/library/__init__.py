"""What people keep here: stores of files, how each file stands, and how it is read into the store of vectors."""
