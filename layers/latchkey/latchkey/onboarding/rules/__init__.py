"""The rules that a request must satisfy before anything is changed."""
