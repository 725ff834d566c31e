"""What `potluck doctor` looks at, a module for each subject. A check looks, and never changes anything."""
