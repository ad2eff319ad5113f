"""What the tests share: stand-in hosts, mirrors, builders of archives and tables, and processes to be killed."""
