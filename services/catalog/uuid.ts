const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i

/** Whether the text can be an id of ours. Postgres answers an error, not nothing, when it is asked for one that cannot. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}
