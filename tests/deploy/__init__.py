"""What is shipped to run the service with, run as it is shipped."""
