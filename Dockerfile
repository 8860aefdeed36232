FROM --platform=$BUILDPLATFORM golang:1.26.8-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev TARGETOS=linux TARGETARCH=amd64
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -tags nomsgpack \
    -ldflags "-s -w -X main.version=$VERSION" -o /out/relay ./cmd/relay \
 && mkdir /out/data

# Root certificates, time zones, /tmp and the user 65532; no shell.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/relay /relay
# A named volume takes its owner from what is here when it is first used.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
ENV RELAY_LISTEN=0.0.0.0:8080 RELAY_DATA=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["/relay", "healthcheck", "--live"]
ENTRYPOINT ["/relay"]
CMD ["serve"]
