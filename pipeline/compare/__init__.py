"""Any runs of policies side by side: what differs in their parameters, and in their results beyond chance."""
