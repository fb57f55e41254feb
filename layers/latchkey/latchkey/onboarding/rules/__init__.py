"""The rules that a request must satisfy before anything is changed: pure functions of the request and the evidence."""
