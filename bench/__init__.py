"""What epicsmon costs, measured on a real IOC: `make bench`."""
