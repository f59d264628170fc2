-- Jobs under which a worker has died ("suspects") are tried in a small company: how many more a claim may take, and
-- whether the next may be one that is dead with its next death.
--- @include tries
local suspects_left, may_be_last = suspects, last_one

local function is_last_try(deaths)
  return deaths + 1 >= max_deaths
end

-- Whether a job with these tries must wait.
local function must_wait(tries)
  local _, deaths = read_tries(tries)
  return deaths > 0 and (suspects_left < 1 or (is_last_try(deaths) and not may_be_last))
end

-- Counts a job with these tries, which is taken.
local function join_company(tries)
  local _, deaths = read_tries(tries)
  if deaths > 0 then
    suspects_left, may_be_last = is_last_try(deaths) and 0 or suspects_left - 1, false
  end
end
