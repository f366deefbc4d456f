"""Approved scenarios and what they give: grants without another look (应用场景授权)."""
