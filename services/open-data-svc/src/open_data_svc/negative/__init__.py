"""The negative list (负面清单): what departments may not open."""
