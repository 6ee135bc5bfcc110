"""A small real control system to look at: an IOC, its database and clients that put to it, for `epicsmon demo`."""
