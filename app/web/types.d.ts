/**
 * Types for the check by the TypeScript compiler. The browser does not load this file.
 * The module "openapi" is generated for the check, from the OpenAPI document.
 */

import type { components, paths } from "openapi";

type Schemas = components["schemas"];
type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** True if a segment of an address fits one of the document: a number fits {user_id}, any text fits a day. */
type FitsSegment<Given, Known> = Known extends "{first_day}" | "{valid_from}" ? true
  : Given extends (Known extends `{${string}}` ? `${number}` : Known) ? true : false;
type Fits<Given extends string, Known extends string> = Known extends `${infer First}/${infer Rest}`
  ? Given extends `${infer One}/${infer Others}`
    ? FitsSegment<One, First> extends true ? Fits<Others, Rest> : false
    : false
  : Given extends `${string}/${string}` ? false : FitsSegment<Given, Known>;

/** The path of the document for an address below /api/v1, such as "time-entries/3". */
type PathOf<Address extends string> = `/api/v1/${Address}` extends keyof paths
  ? `/api/v1/${Address}`
  : { [Path in keyof paths]: Fits<`/api/v1/${Address}`, Path> extends true ? Path : never }[keyof paths];
type Operation<M extends Method, Address extends string> = Address extends string
  ? Exclude<paths[PathOf<Address>][Lowercase<M>], undefined>
  : never;

type Query<O> = O extends { parameters: { query: infer Q } } ? { query: Q }
  : O extends { parameters: { query?: infer Q } } ? { query?: Q } : never;
type Content<O, Media extends string, Name extends string> = O extends { requestBody?: never } ? { [K in Name]?: never }
  : O extends { requestBody: { content: { [M in Media]: infer C } } } ? { [K in Name]: C }
  : O extends { requestBody?: { content: { [M in Media]: infer C } } } ? { [K in Name]?: C } : { [K in Name]?: never };
type Options<O> = O extends unknown
  ? Query<O> & Content<O, "application/json", "body"> & Content<O, "application/x-www-form-urlencoded", "form">
    & { csv?: Blob; key?: string; version?: number; page?: boolean }
  : never;
type OptionsOf<O> = [O] extends [never] ? [unknownOperation: never]
  : {} extends Options<O> ? [options?: Options<O>] : [options: Options<O>];
type Result<O> = O extends { responses: infer R }
  ? { [S in keyof R]: S extends 200 | 201 | 204 ? R[S] extends { content: { "application/json": infer C } } ? C : null : never }[keyof R]
  : never;

declare global {
  namespace Api {
    /** Parameters, body and response of a call are those of the operation that the address names. */
    type Call = <const M extends Method, const Address extends string>(
      method: M, address: Address, ...options: OptionsOf<Operation<M, Address>>
    ) => Promise<Result<Operation<M, Address>>>;
    type Account = Schemas["AccountRead"];
    type ApiToken = Schemas["ApiTokenRead"];
    type BlockingEntry = Schemas["BlockingEntry"];
    type Change = Schemas["TimeEntryHistoryItem"];
    type Entry = Schemas["TimeEntryWithActions"];
    type OpenEntry = Schemas["TimeEntryWithProject"];
    type LockDate = Schemas["LockDateRead"];
    type LoginSession = Schemas["SessionRead"];
    type ManagedUser = Schemas["UserWithActions"];
    type PasswordLink = Schemas["PasswordLinkRead"];
    type Presence = Schemas["Presence"];
    type Project = Schemas["ProjectRead"];
    type Rule = Schemas["TimesheetRuleRead"];
    type SecondFactor = Schemas["SecondFactorRead"];
    type Sheet = Schemas["TimesheetRead"] & Partial<Schemas["TimesheetDetail"]>;
    type Todo = Schemas["Todo"];
    type User = Schemas["UserRead"];
  }

  type Child = Node | string | number | false | null | undefined | Child[];
  type Done = () => unknown;
  type Icon = keyof typeof import("./parts/icons.js").PATHS;
  type Instant = string | number | Date;
  type Day = { date: string; total_seconds: number; needs_review_seconds: number };
  type Render = (page: { rest: string[]; notice?: string; reload: Done }) => Promise<{ content: Child; onLeave?: () => void }>;
  type Route = { load: () => Promise<{ render: Render }>; icon?: Icon; isShown?: () => boolean };
  type Tags = HTMLElementTagNameMap & Pick<SVGElementTagNameMap, "svg" | "g" | "rect" | "text" | "path">;
  /** A press of the big button, with the key under which the server recognizes it. */
  type Press = {
    user_id: number; action: "in" | "out" | "switch"; key: string; pressed_at: string;
    body: { project_id: number; description: string } | null;
  };
}
