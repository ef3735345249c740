"""What people see and programs call: the page, its look, and the HTTP endpoint. No model code."""
