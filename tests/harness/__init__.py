"""What the tests stand on: private clusters, private servers, real drivers."""
