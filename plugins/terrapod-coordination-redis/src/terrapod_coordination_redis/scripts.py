"""What is done in Redis in one step. Each script touches the one key it is given."""

from __future__ import annotations

from typing import Final

TAKE: Final = """
local each, full = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local empty = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + each
if empty - now > full + 1 then
  return math.ceil(empty - now - full)
end
redis.call('SET', KEYS[1], string.format('%.0f', empty), 'PX', math.ceil((empty - now) / 1000))
return 0
"""
"""Keeps, as `terrapod_core` does in memory, the moment at which the bucket will be empty, by Redis's clock, in microseconds.

Given what one takes and what all take, in microseconds; the microseconds until there is one, 0 when it was taken.
"""

GIVE_BACK: Final = """
local empty, left = redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])
if empty and left > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', tonumber(empty) - tonumber(ARGV[1])), 'PX', left)
end
return 0
"""
"""Given what one takes."""

RENEW: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
"""
"""Given the holder and the milliseconds; 1 when it still was the holder's."""

RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 0
"""
"""Given the holder."""
