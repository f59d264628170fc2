-- Lua unpacks at most some 8,000 values at once, so what may be more goes in parts; even, so that pairs stay together.
local PART = 4000
